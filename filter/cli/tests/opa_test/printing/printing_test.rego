package printing_test

test_loud if {
	x := [1, "two", {"three": 3}]
	print("x is", x)
	print("undefined:", input.nothing)
	count(x) == 4
}

test_loud_pass if {
	some n in [1, 2]
	print("n", n)
	n == 2
}

test_silent if true
