package hexr.calls_test

import rego.v1

import data.hexr.calls

_log := [
	{"id": "1", "timestamp": 10000000000, "agent": "crew"},
	{"id": "2", "timestamp": 40000000001, "agent": "crew"},
	{"id": "3", "timestamp": 70000000000, "agent": "crew"},
	{"id": "4", "timestamp": 70000000000, "agent": "other"},
]

_in_last(duration) := found if {
	found := calls.in_last(duration) with data.audit_log as _log
		with input as {"agent": "crew"}
		with time.now_ns as 100000000000
}

test_calls_within_the_duration_count if {
	_in_last("1m") == 2
	_in_last("2m") == 3
}

test_calls_at_its_very_beginning_do_not if _in_last("30s") == 0

test_nobody_has_called if calls.in_last("1m") == 0 with data.audit_log as [] with input as {"agent": "crew"}

test_what_is_no_duration_is_undefined if not _in_last("soon")
