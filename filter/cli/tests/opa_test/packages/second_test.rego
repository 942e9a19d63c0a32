package second_test

import data.second.value

test_same if value == 3

test_second if value == 2
