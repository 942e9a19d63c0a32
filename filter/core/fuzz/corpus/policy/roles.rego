# METADATA
# title: Service access by role
# description: |
#   Which role may do what on which cloud service. It is data (`roles` in data.json), so that more of it is a line there
#   and not a rule here.
package hexr.roles

# METADATA
# description: Whether the agent's role has this action on this service.
default permit := false

permit if input.action in data.roles[input.role][input.service]
