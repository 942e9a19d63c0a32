package old

allow { input.role == "a"; not deny }

deny[msg] { x := input.xs[_]; x > 3; msg := concat("", ["too many: ", x]) }

recent[call] {
	call := data.calls[_]
	call.timestamp > time.now_ns() - 60000000000
}

limit = 3 { input.a } else = 4 { input.b in {"c"} }
