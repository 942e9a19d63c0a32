package hexr.authz

default allow := false

allow if input.role == "researcher"

allow if {
	input.role == "viewer"
	input.service == "aws_s3"
	startswith(input.action, "Get")
}

allow := {"allowed": false, "http_status": 429, "reason": "more than two queries of an editor in a minute"} if {
	input.role == "editor"
	count(recent) >= 2
}

allow if {
	input.role == "editor"
	count(recent) < 2
}

recent contains call if {
	some call in data.audit_log
	call.agent == input.agent
	call.timestamp > time.now_ns() - 60000000000
}
