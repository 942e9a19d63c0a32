package hexr.hours_test

import data.hexr.hours

_hours := {
	"days": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
	"from": 8,
	"until": 18,
	"always": ["researcher"],
}

_open(role, instant) if {
	hours.open with input as {"role": role}
		with data.hours as _hours
		with time.now_ns as time.parse_rfc3339_ns(instant)
}

test_open[instant] if {
	# From the first nanosecond to the last.
	some instant in ["2025-01-15T08:00:00Z", "2025-01-15T12:30:00Z", "2025-01-15T17:59:59.999999999Z"]
	_open("contractor", instant)
}

test_closed[instant] if {
	some instant in ["2025-01-15T07:59:59.999999999Z", "2025-01-15T18:00:00Z", "2025-01-15T00:00:00Z"]
	not _open("contractor", instant)
}

# Wednesday in Berlin's morning and New York's evening: only UTC counts.
test_closed_elsewhere_is_no_matter if {
	not _open("contractor", "2025-01-15T08:30:00+01:00")
	_open("contractor", "2025-01-15T18:30:00+01:00")
	_open("contractor", "2025-01-15T10:00:00-05:00")
}

test_closed_on_weekends if {
	not _open("contractor", "2025-01-18T12:00:00Z")
	not _open("contractor", "2025-01-19T12:00:00Z")
	_open("contractor", "2025-01-20T12:00:00Z")
}

test_open_always if _open("researcher", "2025-01-19T03:00:00Z")

test_closed_field_missing if {
	not hours.open with input as {}
		with data.hours as _hours
		with time.now_ns as time.parse_rfc3339_ns("2025-01-19T12:00:00Z")
}

# A mistake in the data closes.
test_closed_data_wrong[note] if {
	some note, patch in {
		"hours as text": {"from": "8", "until": "18"},
		"no end": {"until": null},
		"no beginning": {"from": null},
		"a day as a number": {"days": [3]},
		"over midnight": {"from": 18, "until": 8},
	}
	not hours.open with input as {"role": "contractor"}
		with data.hours as object.union(_hours, patch)
		with time.now_ns as time.parse_rfc3339_ns("2025-01-15T12:00:00Z")
}
