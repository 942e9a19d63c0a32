package cases_test

import data.cases

test_role[case.note] if {
	some case in [
		{"note": "editor", "role": "editor", "allow": true},
		{"note": "viewer", "role": "viewer", "allow": false},
		{"note": "both", "role": "viewer", "allow": true},
	]
	allowed := cases.allow with input as {"role": case.role}
	allowed == case.allow
}

test_nested[service][action] if {
	some service in ["aws_s3", "gcp_bigquery"]
	some action in ["read", "write"]
	action == "read"
}

test_all_pass[role] if some role in ["a", "b"]

test_values[name] := value if some name, value in {"yes": true, "no": false, "odd": 7}

test_numbers[n] if {
	some n, x in [true, false]
	x
}

test_of_none[x] if some x in []

todo_test_cases[x] if some x in [1]
