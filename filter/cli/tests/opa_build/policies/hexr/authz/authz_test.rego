package hexr.authz_test

import data.hexr.authz

test_editor if authz.allow with input as {"role": "editor", "tenant": "acme"}

test_blocked if not authz.allow with input as {"role": "editor", "tenant": "gone"}

test_viewer if not authz.allow with input as {"role": "viewer", "tenant": "acme"}
