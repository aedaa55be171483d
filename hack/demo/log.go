package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

const logTail = 15

// managerLog returns the end of the manager's log; empty if the demo did not start or find one.
func (g *stage) managerLog(ctx context.Context) string {
	content, err := g.wholeLog(ctx)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(content) {
		lines = append(lines, readable(strings.TrimSpace(line)))
	}
	return strings.Join(lines[max(0, len(lines)-logTail):], "\n")
}

func (g *stage) wholeLog(ctx context.Context) (string, error) {
	switch {
	case g.manager != nil:
		content, err := os.ReadFile(g.manager.LogPath())
		return string(content), err
	case g.deployed:
		return g.kubectl.run(ctx, "", "logs", "deployment/"+operatorName, "--namespace="+operatorNamespace, fmt.Sprintf("--tail=%d", logTail))
	default:
		return "", nil
	}
}

// readable returns a line of the log as text, without fields that a reader does not need.
func readable(line string) string {
	var entry struct {
		Level      string `json:"level"`
		Message    string `json:"msg"`
		Controller string `json:"controller"`
		Namespace  string `json:"namespace"`
		Name       string `json:"name"`
		Error      string `json:"error"`
	}
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		return line
	}
	about := strings.TrimSpace(entry.Controller + " " + strings.TrimPrefix(entry.Namespace+"/"+entry.Name, "/"))
	text := fmt.Sprintf("%-5s %s", entry.Level, entry.Message)
	if about != "" {
		text += " (" + about + ")"
	}
	if entry.Error != "" {
		text += ": " + entry.Error
	}
	return text
}
