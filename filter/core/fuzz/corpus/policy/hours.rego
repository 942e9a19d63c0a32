# METADATA
# title: Business hours
# description: |
#   Days and hours in UTC (`hours` in data.json): from the beginning of the hour `from` to the beginning of the hour
#   `until`, on one day. Roles under `always` are not bound to them.
package hexr.hours

# METADATA
# description: Whether the agent's role may act now.
default open := false

open if input.role in data.hours.always

open if {
	# What is no number is larger or smaller than every hour, and would be open.
	is_number(data.hours.from)
	is_number(data.hours.until)
	now := time.now_ns()
	time.weekday(now) in data.hours.days
	[hour, _, _] := time.clock(now)
	hour >= data.hours.from
	hour < data.hours.until
}

# METADATA
# description: The answer to a call out of hours.
refusal := {"allowed": false, "reason": sprintf("role %s is bound to business hours", [input.role])}
