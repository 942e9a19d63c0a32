package old

# v0.
blocked {
	input.tenant == data.old.tenants[_]
}
