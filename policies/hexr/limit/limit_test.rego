package hexr.limit_test

import data.hexr.limit

_now := 1736937000000000000

_limits := {"calls_per_minute": 3, "roles": {"viewer": 1}}

_call := {"tenant": "acme", "agent": "crew", "role": "editor"}

# Earlier calls, so many seconds ago.
_earlier(seconds) := [call |
	some id, ago in seconds
	call := object.union(_call, {"id": id, "timestamp": _now - (ago * 1000000000), "decision": "allow"})
]

_kept(call, log) if {
	limit.kept with input as call
		with data.audit_log as log
		with data.limits as _limits
		with time.now_ns as _now
}

_refusal(call, log) := refusal if {
	refusal := limit.refusal with input as call
		with data.audit_log as log
		with data.limits as _limits
		with time.now_ns as _now
}

test_kept_first_call if _kept(_call, [])

test_kept_last_call_that_fits if _kept(_call, _earlier([59, 30]))

test_denied_one_too_many if not _kept(_call, _earlier([59, 30, 0]))

# A minute ago is not within the last minute.
test_kept_when_the_oldest_is_a_minute_ago if _kept(_call, _earlier([60, 30, 0]))

test_denied_by_the_limit_of_the_role if {
	viewer := object.union(_call, {"role": "viewer"})
	_kept(viewer, [])
	not _kept(viewer, _earlier([10]))
}

# The limit is the agent's, in whatever role it called.
test_calls_in_other_roles_count if not _kept(object.union(_call, {"role": "viewer"}), _earlier([10]))

test_kept_calls_of_others_do_not_count[field] if {
	some field in ["tenant", "agent"]
	others := [object.union(call, {field: "other"}) | some call in _earlier([1, 2, 3, 4])]
	_kept(_call, others)
}

test_kept_denied_calls_do_not_count if {
	denied := [object.union(call, {"decision": "deny"}) | some call in _earlier([1, 2, 3, 4])]
	_kept(_call, denied)
}

test_refusal if {
	_refusal(_call, _earlier([50, 30, 10])) == {
		"allowed": false,
		"http_status": 429,
		"headers": {"retry-after": "10"},
		"reason": "3 calls in the last minute, at most 3",
	}
}

# With five where three may be, it is the third that has to go.
test_refusal_waits_for_enough if {
	_refusal(_call, _earlier([50, 40, 30, 20, 10])).headers["retry-after"] == "30"
}

test_denied_field_missing[field] if {
	some field in ["tenant", "agent", "role"]
	not _kept(object.remove(_call, {field}), [])
}

# A mistake in the data is no way around the limit.
test_denied_data_wrong[note] if {
	some note, limits in {
		"a number as text": {"calls_per_minute": "3", "roles": {}},
		"a role's number as text": {"calls_per_minute": 3, "roles": {"editor": "many"}},
		"none for anybody": {"roles": {"viewer": 3}},
		"no roles": {"calls_per_minute": 3},
		"nothing": {},
	}
	not limit.kept with input as _call
		with data.audit_log as []
		with data.limits as limits
		with time.now_ns as _now
}
