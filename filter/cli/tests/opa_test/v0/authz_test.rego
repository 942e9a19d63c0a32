package hexr.v0_test

import data.hexr.v0

test_editor {
	v0.allow with input as {"role": "editor"}
}

test_editor {
	v0.allow with input as {"role": "viewer"}
}

test_two_bodies { true } { false }

test_deny {
	v0.deny == {"viewers do not"} with input as {"role": "viewer"}
}

todo_test_later { false }
