package hexr.keywords_test

import data.hexr.v0
import future.keywords

test_every if {
	every role in ["viewer", "guest"] { not v0.allow with input as {"role": role} }
}

test_in if "viewers do not" in v0.deny with input as {"role": "guest"}
