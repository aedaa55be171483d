package service

// The README's client in Go requires it; this import keeps it in go.mod.
import _ "golang.org/x/oauth2"
