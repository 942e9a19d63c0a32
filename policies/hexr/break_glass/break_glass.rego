# METADATA
# title: Break-glass role
# description: |
#   Agents in the role `break-glass` may do every known action on every known service, at any hour, while an incident of
#   their tenant is open: `break_glass` in data.json, by tenant. It closes by itself. The rate limit holds for them too.
package hexr.break_glass

# METADATA
# description: Whether the agent acts in an open incident.
default open := false

open if {
	input.role == "break-glass"

	# Where the catalog leaves what it does not know to the policy, nobody knows what that does.
	input.service != "unknown"
	input.action != "unknown"
	now := time.now_ns()
	time.parse_rfc3339_ns(_incident.from) <= now
	now < time.parse_rfc3339_ns(_incident.until)
}

# METADATA
# description: What logs are told of a call in an open incident.
reason := sprintf("break-glass in incident %s", [_incident.id])

# METADATA
# description: The answer to a call in the role where no incident is open.
refusal := {"allowed": false, "reason": "break-glass without an open incident"} if {
	input.role == "break-glass"
	not open
}

_incident := data.break_glass[input.tenant]
