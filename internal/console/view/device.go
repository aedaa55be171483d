package view

import (
	"strings"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

func seen(device *v1alpha1.SeenDevice) *wire.Device {
	if device == nil || *device == (v1alpha1.SeenDevice{}) {
		return nil
	}
	return &wire.Device{ID: device.ID, OS: device.OS, Browser: device.Browser, UserAgent: device.UserAgent, Address: device.IPAddress}
}

func meant(device *v1alpha1.DeviceInfo) *wire.Device {
	if device == nil || *device == (v1alpha1.DeviceInfo{}) {
		return nil
	}
	return &wire.Device{ID: device.ID, Name: device.Name, OS: device.OS, Browser: device.Browser}
}

// differing returns the fields in which the device that used a token is not the one that spec means.
func differing(meant, seen *wire.Device) []string {
	if meant == nil || seen == nil {
		return nil
	}
	var fields []string
	if meant.ID != "" && seen.ID != "" && meant.ID != seen.ID {
		fields = append(fields, "id")
	}
	if !agree(meant.OS, seen.OS) {
		fields = append(fields, "os")
	}
	if !agree(meant.Browser, seen.Browser) {
		fields = append(fields, "browser")
	}
	return fields
}

// agree reports whether two names of a system or a browser can be of the same one: a person writes Linux, and a client says
// Linux x86_64.
func agree(meant, seen string) bool {
	short, long := strings.ToLower(meant), strings.ToLower(seen)
	if len(short) > len(long) {
		short, long = long, short
	}
	rest, begins := strings.CutPrefix(long, short)
	return short == "" || begins && (rest == "" || rest[0] == ' ')
}
