package hexr.break_glass_test

import data.hexr.break_glass

_call := {"tenant": "acme", "role": "break-glass", "service": "aws_s3", "action": "DeleteBucket"}

_incident := {"id": "INC-1", "from": "2025-01-15T20:00:00Z", "until": "2025-01-15T22:00:00Z"}

_open(call, instant) if {
	break_glass.open with input as call
		with data.break_glass as {"acme": _incident}
		with time.now_ns as time.parse_rfc3339_ns(instant)
}

test_open[instant] if {
	some instant in ["2025-01-15T20:00:00Z", "2025-01-15T21:30:00Z", "2025-01-15T21:59:59.999999999Z"]
	_open(_call, instant)
}

test_closed[instant] if {
	some instant in ["2025-01-15T19:59:59.999999999Z", "2025-01-15T22:00:00Z", "2025-01-16T21:00:00Z"]
	not _open(_call, instant)
}

test_closed_for_others[field] if {
	some field, other in {"tenant": "globex", "role": "editor", "service": "unknown", "action": "unknown"}
	not _open(object.union(_call, {field: other}), "2025-01-15T21:00:00Z")
}

test_closed_field_missing[field] if {
	some field in ["tenant", "role", "service", "action"]
	not _open(object.remove(_call, {field}), "2025-01-15T21:00:00Z")
}

# An incident without an end is not open for ever.
test_closed_data_wrong[note] if {
	some note, incident in {
		"no end": object.remove(_incident, {"until"}),
		"no beginning": object.remove(_incident, {"from"}),
		"no instant": object.union(_incident, {"until": "tomorrow"}),
		"a number": object.union(_incident, {"until": 9999999999999999999}),
	}
	not break_glass.open with input as _call
		with data.break_glass as {"acme": incident}
		with time.now_ns as time.parse_rfc3339_ns("2025-01-15T21:00:00Z")
}

test_refusal_only_in_the_role if {
	break_glass.refusal.allowed == false with input as _call with data.break_glass as {}
	not break_glass.refusal with input as object.union(_call, {"role": "editor"}) with data.break_glass as {}
}
