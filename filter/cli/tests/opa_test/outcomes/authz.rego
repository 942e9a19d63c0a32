package hexr.authz

default allow := false

allow if input.role == "editor"

limit := 3 if input.tier == "free"

limit := 100 if input.team == "data"
