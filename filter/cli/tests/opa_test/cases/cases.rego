package cases

default allow := false

allow if input.role == "editor"
