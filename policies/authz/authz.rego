# METADATA
# title: Service access by role
# description: |
#   Which role may do what on which cloud service. The grants are data (data.json beside this folder), so that a new one
#   is a line there and not a rule here.
package hexr.authz

import rego.v1

# METADATA
# description: The decision. Whatever is not granted is denied.
# entrypoint: true
default allow := false

allow if input.action in data.grants[input.role][input.service]
