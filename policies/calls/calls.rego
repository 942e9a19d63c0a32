# METADATA
# title: Recent calls
# description: |
#   How many calls an agent has made. For rate limits: `data.hexr.calls.in_last("1m") < 100`. In Envoy the filter answers
#   it without walking over the calls; in OPA, and in tests that mock `data.audit_log`, it is what stands here.
package hexr.calls

import rego.v1

# METADATA
# description: |
#   The calls of the agent that asks within the last `duration`, as "90s", "1m" or "1h". Undefined for what is no duration,
#   so that a limit by it denies.
in_last(duration) := count([call |
	some call in data.audit_log
	call.agent == input.agent
	call.timestamp > since
]) if {
	since := time.now_ns() - time.parse_duration_ns(duration)
}
