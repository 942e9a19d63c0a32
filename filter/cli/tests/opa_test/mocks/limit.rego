package limit

default allow := false

allow if {
	count(recent) < data.limits[input.role]
	open
}

recent contains call if {
	some call in data.audit_log
	call.agent == input.agent
	call.timestamp > time.now_ns() - 60000000000
}

open if hour(time.now_ns()) >= 8

hour(ns) := time.clock(ns)[0]
