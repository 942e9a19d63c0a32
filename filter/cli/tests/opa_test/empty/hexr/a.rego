package a

y := 1
