# METADATA
# title: The decision
# description: |
#   A request is allowed when somebody may do it (the agent's role, a grant to the agent, or an open incident), and it is
#   in time, and within the limit. The three narrow each other because they stand in one body: several bodies of `allow`
#   would each allow alone.
package hexr.authz

import data.hexr.break_glass
import data.hexr.grants
import data.hexr.hours
import data.hexr.limit
import data.hexr.roles

# METADATA
# description: |
#   The decision: a boolean, or an object with what logs and the caller are told. Whatever is not allowed is denied, and
#   so is what cannot be told because something is missing.
# entrypoint: true
default allow := false

allow := _consent if {
	_entitled
	_in_time
	limit.kept
}

# Denials that say more than no. Each excludes the others, because one request has one answer.
allow := break_glass.refusal if not _entitled

allow := hours.refusal if {
	_entitled
	not _in_time
}

allow := limit.refusal if {
	_entitled
	_in_time
	not limit.kept
}

_entitled if roles.permit

_entitled if grants.permit

_entitled if break_glass.open

_in_time if hours.open

_in_time if break_glass.open

default _consent := true

_consent := {"allowed": true, "reason": break_glass.reason} if break_glass.open
