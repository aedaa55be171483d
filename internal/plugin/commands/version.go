package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/version"
)

// operatorNamespace is the namespace of an installation, unless a flag says otherwise.
const operatorNamespace = "refreshkeys-system"

// versions holds the flags of `version`.
type versions struct {
	*app
	output    *cli.Output
	client    bool
	namespace string
}

// versionDocument is what `version` prints, for scripts.
type versionDocument struct {
	Client version.Info    `json:"client"`
	Server *serverVersions `json:"server,omitempty"`
}

// serverVersions are the versions in a cluster.
type serverVersions struct {
	Kubernetes string `json:"kubernetes"`
	// API is the group and the version of the kinds; empty if Refresh Keys is not installed.
	API        string      `json:"api,omitempty"`
	Components []component `json:"components"`
}

// component is a Deployment of Refresh Keys. Its version is empty if it cannot be read, and then the reason says why.
type component struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func (c *app) versionCommand() *cobra.Command {
	v := &versions{app: c, output: cli.NewDocument()}
	cmd := &cobra.Command{
		Use: "version", Short: "Show the versions of the plugin and of what is installed in the cluster",
		Args: cli.Arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return v.run(cmd.Context()) },
	}
	v.output.Add(cmd)
	cmd.Flags().BoolVar(&v.client, "client", false, "only the version of the plugin: ask no cluster")
	cmd.Flags().StringVar(&v.namespace, "operator-namespace", operatorNamespace, "the namespace of the Deployments")
	completeFlag(cmd, "operator-namespace", c.completeNamespaces)
	return cmd
}

func (v *versions) run(ctx context.Context) error {
	if err := v.output.Check(); err != nil {
		return err
	}
	d := &versionDocument{Client: v.Build}
	var failed error
	if !v.client {
		done := v.Progress.During("reading the versions")
		d.Server, failed = v.ofServer(ctx)
		done()
	}
	if !v.output.IsText() {
		return v.first(v.output.Document(v.Out, d), failed)
	}
	rows := [][]cli.Cell{{cli.Text("Client:"), cli.Text(v.Build.String())}}
	if d.Server != nil {
		api := d.Server.API
		if api == "" {
			api = "not installed"
		}
		rows = append(rows, []cli.Cell{cli.Text("Kubernetes:"), cli.Text(d.Server.Kubernetes)}, []cli.Cell{cli.Text("API:"), cli.Text(api)})
		for _, one := range d.Server.Components {
			said := one.Version
			if said == "" {
				said = "unknown: " + one.Reason
			}
			rows = append(rows, []cli.Cell{cli.Text(one.Name + ":"), cli.Text(said)})
		}
	}
	cli.WriteTable(v.Out, v.Colours(), "", make([]string, 2), rows)
	return failed
}

// ofServer reads the versions in the cluster. Rights that are missing are no error: every user may read the first two.
func (v *versions) ofServer(ctx context.Context) (*serverVersions, error) {
	k, err := v.connect()
	if err != nil {
		return nil, err
	}
	kubernetes, err := k.clients.Discovery().ServerVersion()
	if err != nil {
		return nil, err
	}
	s := &serverVersions{Kubernetes: kubernetes.GitVersion}
	_, err = k.clients.Discovery().ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	switch {
	case err == nil:
		s.API = v1alpha1.GroupVersion.String()
	case !notInstalled(err):
		return nil, err
	}
	deployments, err := k.deployments(ctx, v.namespace)
	for _, name := range []string{"manager", "tokenserver", "console"} {
		if one := componentOf(name, v.namespace, deployments, err); one != nil {
			s.Components = append(s.Components, *one)
		}
	}
	return s, nil
}

// deployments returns the Deployments of Refresh Keys in a namespace.
func (k *cluster) deployments(ctx context.Context, namespace string) ([]appsv1.Deployment, error) {
	list, err := k.clients.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=refreshkeys"})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// componentOf returns a component with the version that its Deployment says, by the label or by the tag of its image. It is nil for a
// console that is not installed, which is optional.
func componentOf(name, namespace string, deployments []appsv1.Deployment, err error) *component {
	one := &component{Name: map[string]string{"manager": "Manager", "tokenserver": "Token service", "console": "Console"}[name]}
	for i := range deployments {
		labels := deployments[i].Labels
		if labels["app.kubernetes.io/component"] != name {
			continue
		}
		if one.Version = labels["app.kubernetes.io/version"]; one.Version != "" {
			return one
		}
		for _, container := range deployments[i].Spec.Template.Spec.Containers {
			image, _, _ := strings.Cut(container.Image, "@")
			if at := strings.LastIndex(image, ":"); at > strings.LastIndex(image, "/") {
				one.Version = image[at+1:]
				return one
			}
		}
		one.Reason = fmt.Sprintf("Deployment %s has neither a label app.kubernetes.io/version nor a tag", deployments[i].Name)
		return one
	}
	switch {
	case name == "console":
		return nil
	case err != nil:
		one.Reason = err.Error()
	default:
		one.Reason = fmt.Sprintf("namespace %s has no Deployment of it", namespace)
	}
	return one
}
