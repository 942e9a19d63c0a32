package second

value := 2
