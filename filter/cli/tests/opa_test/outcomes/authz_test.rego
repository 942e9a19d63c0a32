package hexr.authz_test

import data.hexr.authz

# Passes.
test_editor if authz.allow with input as {"role": "editor"}

# Is false.
test_viewer if authz.allow with input as {"role": "viewer"}

# Is undefined: nothing says so.
test_undefined if authz.limit == 3 with input as {}

# Has no answer: two values at once.
test_conflict if authz.limit == 3 with input as {"tier": "free", "team": "data"}

# Is no boolean.
test_number := 3

test_text := "true"

test_set := {true}

test_members contains x if some x in [true]

# Is left out.
todo_test_later if false

todo_test_later if true

# Passes whatever others of its name do.
test_twice if true

test_twice if false

test_twice if 1 == 1

test_else := false if {
	input.role == "editor"
} else := true

group.test_inner if true

group.test_inner if false

# No tests.
atest if false

helper := {"test_key": false}
