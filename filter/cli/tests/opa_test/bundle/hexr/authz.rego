package hexr.authz

default allow := false

allow if input.role in data.hexr.roles
