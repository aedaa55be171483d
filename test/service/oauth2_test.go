package service

// The client in Go of docs/how-to/clients.md requires it; this import keeps it in go.mod.
import _ "golang.org/x/oauth2"
