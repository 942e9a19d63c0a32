package hexr.authz

import data.hexr.roles

default allow := false

allow if {
	roles.permits
	not data.old.blocked
}
