package odd["a-b"].c

test_odd if true

test_odd if false

test_odd_words["two words"] if true
