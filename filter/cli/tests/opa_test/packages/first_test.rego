package first_test

test_same if true

test_first if data.second.value == 2
