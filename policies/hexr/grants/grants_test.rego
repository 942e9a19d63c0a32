package hexr.grants_test

import data.hexr.grants

_call := {"tenant": "acme", "agent": "export", "role": "viewer", "service": "aws_s3", "action": "PutObject"}

_permit(call) if {
	grants.permit with input as call
		with data.grants as {"acme": {"export": {"aws_s3": ["PutObject"]}}}
}

test_permitted_in_any_role if {
	every role in ["viewer", "editor", "break-glass"] {
		_permit(object.union(_call, {"role": role}))
	}
}

test_denied_other[field] if {
	some field in ["tenant", "agent", "service", "action"]
	not _permit(object.union(_call, {field: "other"}))
}

test_denied_field_missing[field] if {
	some field in ["tenant", "agent", "service", "action"]
	not _permit(object.remove(_call, {field}))
}
