package hexr.roles_test

import data.hexr.roles

_roles := {"editor": {"aws_s3": ["GetObject", "PutObject"], "gcp_bigquery": ["query"]}}

_permit(call) if roles.permit with input as call with data.roles as _roles

test_permitted if _permit({"role": "editor", "service": "aws_s3", "action": "PutObject"})

test_denied_action_of_another_service if {
	not _permit({"role": "editor", "service": "aws_s3", "action": "query"})
}

test_denied_other_action if not _permit({"role": "editor", "service": "aws_s3", "action": "DeleteObject"})

test_denied_other_service if not _permit({"role": "editor", "service": "aws_sqs", "action": "GetObject"})

test_denied_other_role if not _permit({"role": "viewer", "service": "aws_s3", "action": "GetObject"})

test_denied_in_other_letters if not _permit({"role": "Editor", "service": "aws_s3", "action": "getobject"})

test_denied_field_missing[field] if {
	some field in ["role", "service", "action"]
	call := object.remove({"role": "editor", "service": "aws_s3", "action": "PutObject"}, {field})
	not _permit(call)
}
