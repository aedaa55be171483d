package session

import (
	"errors"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// Limits of what devices and people can do with codes: bursts, and one more after each period. They hold for each replica.
const (
	devicesAtOnce, deviceAgain     = 600, 50 * time.Millisecond
	codesOfPerson, personAgain     = 5, 12 * time.Second
	pollsAtOnce, shortestPollPause = 1, authorize.PollInterval - time.Second
)

// devices are the limits of the sign-in of devices.
type devices struct {
	begins, ofPerson, polls *identity.Attempts
	ofAddress               *identity.AddressAttempts
}

func newDevices() (*devices, error) {
	begins, err := identity.NewAttempts(devicesAtOnce, deviceAgain)
	ofPerson, failed := identity.NewAttempts(codesOfPerson, personAgain)
	err = errors.Join(err, failed)
	ofAddress, failed := identity.NewAddressAttempts()
	err = errors.Join(err, failed)
	polls, failed := identity.NewAttempts(pollsAtOnce, shortestPollPause)
	return &devices{begins: begins, ofPerson: ofPerson, ofAddress: ofAddress, polls: polls}, errors.Join(err, failed)
}

// DeviceMayBegin returns the refusal of a device that begins while too many do.
func (s *Service) DeviceMayBegin(issuer *registry.Issuer) error {
	if !s.devices.begins.Allow(issuer.UID, s.Clock.Now()) {
		return oauth.TooMany("Too many devices begin to sign in; try again later.")
	}
	return nil
}

// MayTryCode returns the refusal of a person who tries too many codes. A try above the limit of its address does not count for the person.
func (s *Service) MayTryCode(issuer *registry.Issuer, subject, address string) error {
	now := s.Clock.Now()
	if !s.devices.ofAddress.Allow(address, now) || !s.devices.ofPerson.Allow(issuer.UID+"\x00"+subject, now) {
		return oauth.TooMany("Too many codes were tried; try again later.")
	}
	return nil
}

// MayPoll returns the refusal of a device that polls more often than authorize.PollInterval.
func (s *Service) MayPoll(deviceCode string) error {
	if s.devices.polls.Allow(deviceCode, s.Clock.Now()) {
		return nil
	}
	slow := oauth.Refuse(oauth.SlowDown, "The device polls too often; wait 5 seconds longer between two polls.")
	slow.RetryAfter = authorize.PollInterval
	return slow
}
