package a

x := 
