# METADATA
# title: Grants to single agents
# description: |
#   What one agent of one tenant may do besides what its role may: `grants` in data.json, by tenant, agent and service.
package hexr.grants

# METADATA
# description: Whether this action on this service is granted to the agent itself.
default permit := false

permit if input.action in data.grants[input.tenant][input.agent][input.service]
