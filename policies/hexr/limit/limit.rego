# METADATA
# title: Rate limit
# description: |
#   How many calls an agent makes in a minute at most: `limits.calls_per_minute` in data.json, or what stands for its role
#   under `limits.roles`. Calls that were allowed count, and the filter keeps a record of them in `data.audit_log`.
package hexr.limit

# METADATA
# description: Whether one more call is within the limit.
default kept := false

kept if {
	# Nobody's calls are none.
	input.tenant != ""
	input.agent != ""

	# What is no number is larger than every count, and would be no limit.
	is_number(_most)
	count(_recent) < _most
}

# METADATA
# description: |
#   The answer to a call over the limit. `retry-after` is the number of seconds until enough of the recent calls are more
#   than a minute ago.
refusal := {
	"allowed": false,
	"http_status": 429,
	"headers": {"retry-after": sprintf("%d", [_wait_seconds])},
	"reason": sprintf("%d calls in the last minute, at most %d", [count(_recent), _most]),
}

_most := object.get(data.limits.roles, input.role, data.limits.calls_per_minute)

_recent contains call if {
	some call in data.audit_log
	call.tenant == input.tenant
	call.agent == input.agent
	call.decision == "allow"
	call.timestamp > time.now_ns() - 60000000000
}

_wait_seconds := ceil(((leaving + 60000000000) - time.now_ns()) / 1000000000) if {
	oldest_first := sort([call.timestamp | some call in _recent])
	leaving := oldest_first[count(oldest_first) - _most]
}
