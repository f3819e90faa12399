//! A rest: no client does anything and no fault goes on, so everybody must agree with upstream on everything.

use std::time::Duration;

use super::kinds;
use super::model::{Floor, Read};
use super::world::{FOREIGN, Key, Via, World, locked};
use crate::client::{Client, Value};
use crate::deadline::{Deadline, now_ms};

/// After the last fault there is service, and agreement, within this; generous, for a loaded machine.
const AGREES_WITHIN: Duration = Duration::from_secs(6);

/// Waits for the clients to rest and compares what everybody has.
pub fn rest(world: &World) -> Result<(), String> {
    let _alone = world.traffic.write();
    let clients =
        [Via::Upstream, Via::Forebay(0), Via::Forebay(1)].map(|via| Client::connect(world.address(via)));
    let [Ok(mut direct), Ok(first), Ok(second)] = clients else {
        return Err("somebody takes no connections".to_owned());
    };
    let mut forebays = [first, second];
    for (number, forebay) in forebays.iter_mut().enumerate() {
        wait_for_link(number, forebay)?;
        wait_until_carried(number, forebay)?;
    }
    for key in &world.keys {
        let is_right = compare(key, &mut direct, &mut forebays);
        if let Err(what) = is_right {
            world.fail_key(key, &locked(&key.model), &what);
            return Err(what);
        }
    }
    for weather in &world.weather {
        locked(weather).clear_up(now_ms());
    }
    for counter in &world.counters {
        let value = read_number(&mut direct, &counter.name)?;
        counter.rest(value)?;
        for (number, forebay) in forebays.iter_mut().enumerate() {
            let agrees =
                Deadline::after(AGREES_WITHIN).poll(|| read_number(forebay, &counter.name) == Ok(value));
            if !agrees {
                return Err(format!(
                    "Forebay {number} never agrees that {} is {value}",
                    counter.name
                ));
            }
        }
    }
    Ok(())
}

fn wait_for_link(number: usize, forebay: &mut Client) -> Result<(), String> {
    let mut told = String::new();
    let is_up = Deadline::after(AGREES_WITHIN).poll(|| {
        told = match forebay.call(&["INFO", "upstream"]) {
            Ok(Value::Bulk(text)) => String::from_utf8_lossy(&text).into_owned(),
            other => format!("{other:?}"),
        };
        told.contains("upstream_link:up")
    });
    if is_up {
        Ok(())
    } else {
        Err(format!("Forebay {number} does not come back:\n{told}"))
    }
}

/// Nothing that was acknowledged waits for being carried to upstream any more. Without write-behind nothing ever does.
pub fn wait_until_carried(number: usize, forebay: &mut Client) -> Result<(), String> {
    let mut told = String::new();
    let is_carried = Deadline::after(AGREES_WITHIN).poll(|| {
        told = match forebay.call(&["INFO", "writebehind"]) {
            Ok(Value::Bulk(text)) => String::from_utf8_lossy(&text).into_owned(),
            other => format!("{other:?}"),
        };
        told.contains("dirty_keys:0\r\n")
    });
    if !is_carried {
        return Err(format!("Forebay {number} does not carry what it has:\n{told}"));
    }
    if told.contains("dead_letters:0\r\n") && told.contains("lost:0\r\n") {
        Ok(())
    } else {
        Err(format!(
            "Forebay {number} has given up what was acknowledged:\n{told}"
        ))
    }
}

/// Upstream has at least what was acknowledged, and the Forebays have the same.
fn compare(key: &Key, direct: &mut Client, forebays: &mut [Client; 2]) -> Result<(), String> {
    let floor = Floor {
        version: locked(&key.model).done_before(now_ms() + 1),
        why: "which is acknowledged",
    };
    let there = read(key, direct)?;
    locked(&key.model)
        .check(FOREIGN, there, floor)
        .map_err(|what| format!("upstream has what is wrong: {what}"))?;
    for (number, forebay) in forebays.iter_mut().enumerate() {
        let mut here = Err(String::new());
        let agrees = Deadline::after(AGREES_WITHIN).poll(|| {
            here = read(key, forebay);
            here == Ok(there)
        });
        if !agrees {
            return Err(format!(
                "Forebay {number} has {here:?} where upstream has {there:?}, for good"
            ));
        }
    }
    let mut model = locked(&key.model);
    model.rest(there);
    model.note(format!("{:>6} a rest: {there:?}", now_ms()));
    Ok(())
}

fn read(key: &Key, client: &mut Client) -> Result<Read, String> {
    let reply = client
        .call(&key.kind.read(&key.name))
        .map_err(|error| error.to_string())?;
    kinds::version(&key.name, &reply)
}

fn read_number(client: &mut Client, name: &str) -> Result<u64, String> {
    match client.call(&["GET", name]) {
        Ok(Value::NullBulk) => Ok(0),
        Ok(Value::Bulk(text)) => String::from_utf8_lossy(&text)
            .parse()
            .map_err(|_| format!("{name} is {text:?}")),
        other => Err(format!("{name} is {other:?}")),
    }
}
