package hexr.v0

default allow = false

allow {
	input.role == "editor"
}

deny[reason] {
	input.role == "viewer"
	reason := "viewers do not"
}
