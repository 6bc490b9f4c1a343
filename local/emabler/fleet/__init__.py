"""A fleet of chargers that lives through days of charging, and tells its customer as eMabler does.

The same plan and the same answers to taps make the same truth and the same messages.

| module | subject |
|---|---|
| `chance` | numbers drawn from a hash of what they are for |
| `network` | sites, chargers, sockets, drivers, tags |
| `visits` | who comes to a socket when, and what the car takes |
| `faults` | the table of faults, and how their rates are written |
| `conditions` | clocks that go wrong, chargers that are cut off |
| `story` | a socket's life as facts and taps, in the order of time |
| `facts`, `writing` | what a charger tells, and the messages of the three generations |
| `posting` | a message's way: lost, broken, repeated, late, reordered |
| `day` | what is due up to an instant |
| `truth`, `expected` | what is true, what was told, and what a right store then holds |
| `booking` | the fleet in the books that REST answers from |
| `sending`, `runner` | messages and taps over the network, in step with the clock |
| `control` | `/_fleet`: prepared, begun, watched, changed from outside |

All but the last three are pure: no clock, no network.
"""
