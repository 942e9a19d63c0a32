package hexr.authz_test

import data.hexr.authz

# A Wednesday, and a Saturday.
_office_hours := 1736937000000000000

_weekend := 1737196200000000000

_data := {
	"roles": {
		"editor": {"aws_s3": ["GetObject", "PutObject"]},
		"viewer": {"aws_s3": ["GetObject"]},
	},
	"grants": {"acme": {"night-shift": {"aws_s3": ["DeleteObject"]}}},
	"hours": {"days": ["Wednesday"], "from": 8, "until": 18, "always": []},
	"limits": {"calls_per_minute": 2, "roles": {}},
	"break_glass": {"acme": {"id": "INC-1", "from": "2025-01-18T10:00:00Z", "until": "2025-01-18T11:00:00Z"}},
}

_call(role, action) := {
	"spiffe_id": sprintf("spiffe://hexr.cloud/agent/acme/crew/%s", [role]),
	"tenant": "acme",
	"agent": "crew",
	"role": role,
	"service": "aws_s3",
	"action": action,
	"timestamp": "2025-01-15T10:30:00Z",
}

# What is decided at `now` for a call after so many others a second ago.
_decision(call, now, recent) := decision if {
	log := [earlier |
		some id in numbers.range(1, 10)
		id <= recent
		earlier := object.union(call, {"id": id, "timestamp": now - 1000000000, "decision": "allow"})
	]
	decision := authz.allow with input as call
		with time.now_ns as now
		with data.audit_log as log
		with data.roles as _data.roles
		with data.grants as _data.grants
		with data.hours as _data.hours
		with data.limits as _data.limits
		with data.break_glass as _data.break_glass
}

test_allowed_editor_in_hours_under_the_limit if {
	_decision(_call("editor", "PutObject"), _office_hours, 1) == true
}

test_denied_editor_under_the_limit_out_of_hours if {
	decision := _decision(_call("editor", "PutObject"), _weekend, 1)
	decision == {"allowed": false, "reason": "role editor is bound to business hours"}
}

test_denied_editor_under_the_limit_in_hours_what_no_editor_may if {
	_decision(_call("editor", "DeleteBucket"), _office_hours, 1) == false
}

test_denied_viewer_in_hours_what_no_viewer_may if {
	_decision(_call("viewer", "PutObject"), _office_hours, 1) == false
}

test_denied_editor_in_hours_over_the_limit if {
	decision := _decision(_call("editor", "PutObject"), _office_hours, 2)
	decision == {
		"allowed": false,
		"http_status": 429,
		"headers": {"retry-after": "59"},
		"reason": "2 calls in the last minute, at most 2",
	}
}

# One answer, although two conditions are not met.
test_denied_editor_out_of_hours_over_the_limit if {
	decision := _decision(_call("editor", "PutObject"), _weekend, 2)
	decision == {"allowed": false, "reason": "role editor is bound to business hours"}
}

test_denied_viewer_over_the_limit_what_no_viewer_may if {
	_decision(_call("viewer", "PutObject"), _weekend, 2) == false
}

test_allowed_by_a_grant_in_hours if {
	call := object.union(_call("viewer", "DeleteObject"), {"agent": "night-shift"})
	_decision(call, _office_hours, 0) == true
}

# A grant says what, not when.
test_denied_by_a_grant_out_of_hours if {
	call := object.union(_call("viewer", "DeleteObject"), {"agent": "night-shift"})
	decision := _decision(call, _weekend, 0)
	decision == {"allowed": false, "reason": "role viewer is bound to business hours"}
}

test_allowed_break_glass_out_of_hours if {
	decision := _decision(_call("break-glass", "DeleteBucket"), _weekend, 1)
	decision == {"allowed": true, "reason": "break-glass in incident INC-1"}
}

test_denied_break_glass_over_the_limit if {
	decision := _decision(_call("break-glass", "DeleteBucket"), _weekend, 2)
	decision.allowed == false
	decision.http_status == 429
}

test_denied_break_glass_without_an_open_incident if {
	decision := _decision(_call("break-glass", "DeleteBucket"), _office_hours, 0)
	decision == {"allowed": false, "reason": "break-glass without an open incident"}
}

# Also for whom something else allows it: one request has one answer.
test_allowed_break_glass_by_a_grant_without_an_open_incident if {
	call := object.union(_call("break-glass", "DeleteObject"), {"agent": "night-shift"})
	_decision(call, _office_hours, 0) == true
}

test_denied_field_missing[field] if {
	some field in ["tenant", "agent", "role", "service", "action"]
	call := object.remove(_call("editor", "PutObject"), {field})
	not _allows(_decision(call, _office_hours, 0))
}

test_denied_empty_input if _decision({}, _office_hours, 0) == false

test_denied_without_input if {
	decision := authz.allow with data.audit_log as []
	not _allows(decision)
}

_allows(decision) if decision == true

_allows(decision) if decision.allowed == true

# Data that is not there allows nobody.
test_denied_data_missing[part] if {
	some part in ["roles", "hours", "limits"]
	call := _call("editor", "PutObject")
	decision := authz.allow with input as call
		with time.now_ns as _office_hours
		with data.audit_log as []
		with data.roles as object.get(object.remove(_data, {part}), "roles", {})
		with data.hours as object.get(object.remove(_data, {part}), "hours", {})
		with data.limits as object.get(object.remove(_data, {part}), "limits", {})
		with data.grants as {}
		with data.break_glass as {}
	not _allows(decision)
}
