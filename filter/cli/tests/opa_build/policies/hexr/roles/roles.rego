package hexr.roles

# v0, with a keyword that nobody imported.
permits {
	input.role in data.hexr.roles.permitted
}
