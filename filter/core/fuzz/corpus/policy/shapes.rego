package p

import data.p.q as other

default allow := false

allow if {
	some i, x in input.list
	x.n + i > 2
	not x.role in {"a", "b"}
	every k, v in input.labels { k != v }
}

allow if count({x | some x in input.list; x.ok}) == 0

level := 1 if input.a else := 2 if input.b else := f(input.n)

f(x) := y if [x, y] = [1, 2]

f(x) := x if x > 3

names contains name if name := input.names[_]

by_name[name] := role if role := input.roles[name]

nested.a[x].b contains y if some x, y in input.m

q.r if allow with input.list as [] with time.now_ns as 5

lines := [sprintf("%d %s", [i, x]) | walk(input, [i, x])]
