package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	consoleName = "console"
	pluginName  = "kubectl-refreshkey"
)

// consoleURL matches the URL that the console prints when it serves.
var consoleURL = regexp.MustCompile(`(?m)^http://127\.0\.0\.1:\d+/\S+$`)

// RunConsole builds the plugin and runs its console beside the control plane, with the rights of the administrator. It returns the URL
// to open, whose code works once. A console that runs already is replaced, since its code may be used up.
func RunConsole(ctx context.Context, c *Cluster) (url string, err error) {
	binary, err := build(ctx, pluginName)
	if err != nil {
		return "", err
	}
	port, err := c.Port(consoleName)
	if err != nil {
		return "", err
	}
	if before := c.Process(consoleName); before != nil {
		if err := before.Stop(ctx); err != nil {
			return "", err
		}
		// An earlier URL is of no use.
		if err := os.Remove(before.LogPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	trusted, err := TokenServiceCA(ctx, c)
	if err != nil {
		return "", err
	}
	process, err := c.Run(ctx, Program{
		Name: consoleName, Binary: binary,
		Args: []string{"console", "--no-browser", "--port=" + strconv.Itoa(port), "--kubeconfig=" + c.Kubeconfig(), "--ca-file=" + trusted},
	})
	if err != nil {
		return "", err
	}
	err = wait.PollUntilContextTimeout(ctx, pollHealth, healthyWithin, true, func(context.Context) (bool, error) {
		running := process.Running()
		log, err := os.ReadFile(process.LogPath())
		url = consoleURL.FindString(string(log))
		if err == nil && url == "" && !running {
			err = fmt.Errorf("the console ended:\n%s", logTail(process.LogPath(), 0))
		}
		return url != "", err
	})
	return url, err
}
