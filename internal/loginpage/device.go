package loginpage

// Entry is the page that asks for the code of a device.
type Entry struct {
	Action, Step string
	// Code is the proposed code.
	Code string
	// Failure says why the last try failed; empty for none.
	Failure Failure
}

// Question is the page that asks a person whether a device may have tokens.
type Question struct {
	Consent
	// Code is the code of the device, to compare.
	Code string
	// Address is where the device began; empty if it is unknown.
	Address string
}

// End is how the sign-in of a device ended.
type End string

// The ends of the sign-in of a device.
const (
	DeviceAllowed End = "Allowed"
	DeviceDenied  End = "Denied"
	// DeviceDecided is of a code that was used before.
	DeviceDecided End = "Decided"
	// DeviceTooLate is of a code that expired while the page was open.
	DeviceTooLate End = "TooLate"
	// DeviceNotGranted is of a person who may not use the application.
	DeviceNotGranted End = "NotGranted"
)

// Render returns the page in the language that the browser prefers, by its Accept-Language header.
func (e *Entry) Render(languages string) []byte {
	texts, lang := textsFor(languages)
	return render(&content{Texts: texts, Lang: lang, Title: texts.ConnectDevice, Entry: e, Failure: texts.Failures[e.Failure]})
}

// Render returns the page in the language that the browser prefers, by its Accept-Language header.
func (q *Question) Render(languages string) []byte {
	texts, lang := textsFor(languages)
	return render(&content{Texts: texts, Lang: lang, Title: texts.ConnectDevice, Consent: &q.Consent, Question: q})
}

// Render returns the page in the language that the browser prefers, by its Accept-Language header.
func (e End) Render(languages string) []byte {
	texts, lang := textsFor(languages)
	said := texts.Ends[e]
	return render(&content{Texts: texts, Lang: lang, Title: said.Heading, Said: &said})
}
