package data_test

test_json if data.roles.z == 1

test_yaml if data.roles.w == 2

test_top if data.top == true
