package limit_test

import data.limit

noon := 1736937000000000000

calls := [{"agent": "a", "timestamp": noon - 1000000000}, {"agent": "a", "timestamp": noon - 90000000000}]

always(_) := 3

test_below if {
	limit.allow with input as {"agent": "a", "role": "r"}
		with data.limits as {"r": 2}
		with data.audit_log as calls
		with time.now_ns as noon
}

test_at if {
	not limit.allow with input as {"agent": "a", "role": "r"}
		with data.limits.r as 1
		with data.audit_log as calls
		with time.now_ns as noon
}

test_builtin_by_value if count([1]) == 7 with count as 7

test_function_by_function if {
	not limit.open with limit.hour as always with time.now_ns as noon
}

test_builtin_by_function if count([1]) == 3 with count as always

test_closed if {
	not limit.allow with input as {"agent": "a", "role": "r"}
		with data.limits.r as 9
		with data.audit_log as []
		with limit.hour as 7
}

test_unmocked if limit.open with time.now_ns as noon - 36000000000000
