package chart

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// restrictedV2 returns what OpenShift's SCC restricted-v2, which every ServiceAccount may use, refuses or changes against the pod's will: it
// assigns the user and the groups from the range of the namespace, drops all capabilities, and has the runtime's default seccomp profile.
func restrictedV2(pod *corev1.PodSpec) (wrong []string) {
	says := func(refused bool, what string) {
		if refused {
			wrong = append(wrong, what)
		}
	}
	of := ptr.Deref(pod.SecurityContext, corev1.PodSecurityContext{})
	says(of.RunAsUser != nil || of.RunAsGroup != nil || of.FSGroup != nil || len(of.SupplementalGroups) > 0 || of.SELinuxOptions != nil, "the pod sets a user, a group or SELinux options")
	says(!ptr.Deref(of.RunAsNonRoot, false), "the pod may run as root")
	says(of.SeccompProfile == nil || of.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault, "the pod has not the runtime's seccomp profile")
	says(len(of.Sysctls) > 0, "the pod sets sysctls")
	says(pod.HostNetwork || pod.HostPID || pod.HostIPC, "the pod uses the host's network, processes or IPC")
	for i := range pod.Volumes {
		v := &pod.Volumes[i].VolumeSource
		says(v.ConfigMap == nil && v.Secret == nil && v.EmptyDir == nil && v.Projected == nil && v.PersistentVolumeClaim == nil && v.DownwardAPI == nil && v.CSI == nil &&
			v.Ephemeral == nil, "the volume "+pod.Volumes[i].Name+" is of a kind that is not allowed")
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		limits := ptr.Deref(container.SecurityContext, corev1.SecurityContext{})
		capabilities := ptr.Deref(limits.Capabilities, corev1.Capabilities{})
		says(limits.RunAsUser != nil || limits.RunAsGroup != nil || limits.SELinuxOptions != nil, container.Name+" sets a user, a group or SELinux options")
		says(limits.RunAsNonRoot != nil && !*limits.RunAsNonRoot, container.Name+" may run as root")
		says(ptr.Deref(limits.AllowPrivilegeEscalation, true) || ptr.Deref(limits.Privileged, false), container.Name+" may get privileges")
		says(!slices.Equal(capabilities.Drop, []corev1.Capability{"ALL"}) || len(capabilities.Add) > 0, container.Name+" keeps capabilities")
		says(limits.SeccompProfile != nil && limits.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault, container.Name+" has another seccomp profile")
		says(slices.ContainsFunc(container.Ports, func(port corev1.ContainerPort) bool { return port.HostPort != 0 }), container.Name+" uses a port of the host")
	}
	return wrong
}

// TestRestrictedV2 checks the pods of the chart and of kustomize. OpenShift itself does not run here.
func TestRestrictedV2(t *testing.T) {
	rendered, err := render(t, everything)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, object := range append(rendered, objects(t, kubectl(t, "kustomize", overlay(t, "resources: [ROOT/config/default]\ncomponents: [ROOT/config/console]")))...) {
		template := podTemplate(t, object)
		if template == nil {
			continue
		}
		seen++
		for _, wrong := range restrictedV2(&template.Spec) {
			t.Errorf("%s: %s", name(object), wrong)
		}
	}
	if seen != 7 {
		t.Errorf("%d pods were looked at", seen)
	}
}

// TestRestrictedV2Refuses checks the check.
func TestRestrictedV2Refuses(t *testing.T) {
	cases := map[string]func(*corev1.PodSpec){
		"a user":             func(p *corev1.PodSpec) { p.SecurityContext.RunAsUser = ptr.To[int64](65532) },
		"a group of volumes": func(p *corev1.PodSpec) { p.SecurityContext.FSGroup = ptr.To[int64](65532) },
		"root":               func(p *corev1.PodSpec) { p.SecurityContext.RunAsNonRoot = nil },
		"no seccomp profile": func(p *corev1.PodSpec) { p.SecurityContext.SeccompProfile = nil },
		"the host's network": func(p *corev1.PodSpec) { p.HostNetwork = true },
		"a folder of the host": func(p *corev1.PodSpec) {
			p.Volumes[0].VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}
		},
		"a user of a container": func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.RunAsUser = ptr.To[int64](65532) },
		"privileges":            func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
		"capabilities":          func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.Capabilities = nil },
		"a capability": func(p *corev1.PodSpec) {
			p.Containers[0].SecurityContext.Capabilities.Add = []corev1.Capability{"CHOWN"}
		},
		"a port of the host":        func(p *corev1.PodSpec) { p.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 443}} },
		"no context of its own":     func(p *corev1.PodSpec) { p.Containers[0].SecurityContext = nil },
		"root of an init container": func(p *corev1.PodSpec) { p.InitContainers = []corev1.Container{{Name: "init"}} },
	}
	good := corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Volumes:         []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		Containers: []corev1.Container{{Name: "c", SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}}},
	}
	if wrong := restrictedV2(&good); len(wrong) > 0 {
		t.Fatalf("a good pod is refused: %v", wrong)
	}
	for name, change := range cases {
		bad := good.DeepCopy()
		change(bad)
		if len(restrictedV2(bad)) == 0 {
			t.Errorf("%s is not refused", name)
		}
	}
}
