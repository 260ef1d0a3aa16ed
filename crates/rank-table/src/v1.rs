//! Version 1: checked as it stands.

use crate::check::{Check, for_repeated};
use crate::fault::{Faults, Place};
use crate::json::{List, Scalar};
use crate::limits::{MAX_DEVICES_PER_SERVER, MAX_INSTANCES};
use crate::raw::Top;
use crate::table::{Format, Instance, RankTable};

/// Ranges of missing ranks that a message names.
const MAX_GAPS_NAMED: usize = 8;

/// A table of a complete v1 file. The order of servers and devices is the file's; ranks may be in any order.
pub(crate) fn read(top: &Top<'_>) -> Result<RankTable, Faults> {
    let mut check = Check::default();
    let list = Place::Top("server_list");
    let (servers, count) = check.list(&top.server_list, list, |s| Place::Server(s, ""), MAX_INSTANCES);
    // The vendor's scripts don't look at it, so a table without it works today.
    if !matches!(top.server_count, Scalar::Missing) {
        check.count(&top.server_count, Place::Top("server_count"), count, "the length of `server_list` is");
    }
    let mut ranks = Ranks::default();
    let mut instances = Vec::with_capacity(servers.len());
    for (s, raw) in servers {
        let place = Place::Server(s, "server_id");
        let server = check.server(&raw.server_id, place);
        if let Some((text, _, Some(first))) = &server {
            check.faults.add(place, || format!("is {}, which `{first}` is already", crate::fault::quote(text)));
        }
        let number = server.as_ref().map(|(_, number, _)| *number);
        let entry = |d| Place::DeviceV1(s, d, "");
        let list = &raw.device;
        let (raw, count) = check.list(list, place.key("device"), entry, MAX_DEVICES_PER_SERVER);
        ranks.devices += count;
        ranks.unread |= !matches!(list, List::Is { .. }) || raw.len() < count;
        let mut devices = Vec::with_capacity(raw.len());
        for (d, it) in raw {
            let device = check.device(&it.device_id, &it.device_ip, number, entry(d));
            let rank = ranks.take(&it.rank_id, entry(d).key("rank_id"), &mut check);
            devices.extend(device.zip(rank).map(|(mut device, rank)| {
                device.rank = rank;
                device
            }));
        }
        let server_id = server.map(|(text, ..)| text).unwrap_or_default();
        instances.push(Instance { name: None, server_id, devices });
    }
    ranks.end(&mut check.faults);
    let faults = check.end(ranks.devices, "server_list");
    if faults.count() > 0 {
        return Err(faults);
    }
    Ok(RankTable { format: Format::V1, instances, without_devices: Vec::new() })
}

/// The ranks seen so far.
#[derive(Default)]
struct Ranks {
    devices: usize,
    places: Vec<(u32, Place)>,
    /// A rank or a list of devices could not be read: what is missing is not known.
    unread: bool,
}

impl Ranks {
    fn take(&mut self, value: &Scalar<'_>, place: Place, check: &mut Check) -> Option<u32> {
        let Some(rank) = check.whole(value, place, u32::MAX) else {
            self.unread = true;
            return None;
        };
        self.places.push((rank, place));
        Some(rank)
    }

    /// Ranks are 0 to the number of devices − 1, each once.
    fn end(&mut self, faults: &mut Faults) {
        for_repeated(&mut self.places, |rank, first, place| {
            faults.add(place, || format!("is {rank}, which `{first}` is already"));
        });
        if self.unread || self.devices == 0 {
            return;
        }
        self.places.sort_by_key(|(rank, _)| *rank);
        let devices = self.devices;
        let highest = devices - 1;
        let mut gaps: Vec<(usize, usize)> = Vec::new();
        let mut next = 0;
        for (rank, place) in &self.places {
            let rank = *rank as usize;
            if rank > highest {
                faults.add(*place, || format!("is {rank}, but {devices} devices have the ranks 0 to {highest}"));
                continue;
            }
            if rank > next {
                gaps.push((next, rank - 1));
            }
            next = rank + 1;
        }
        if next < devices {
            gaps.push((next, highest));
        }
        if gaps.is_empty() {
            return;
        }
        let shown = gaps.iter().take(MAX_GAPS_NAMED);
        let shown = shown.map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
        let shown = shown.collect::<Vec<_>>().join(", ");
        let more = if gaps.len() > MAX_GAPS_NAMED { ", …" } else { "" };
        faults.add(Place::Top("server_list"), || {
            format!("lacks rank {shown}{more}: {devices} devices have the ranks 0 to {highest}")
        });
    }
}
