package service

// The README's client in Go needs it: here it stays in go.mod.
import _ "golang.org/x/oauth2"
