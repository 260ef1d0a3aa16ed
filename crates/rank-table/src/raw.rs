//! The two formats as they are in a file, before anything is checked.

use serde::de::{IgnoredAny, MapAccess};

use crate::json::{As, List, Object, Scalar};
use crate::limits::{MAX_DEVICES_PER_SERVER, MAX_GROUPS, MAX_INSTANCES};

/// Declares an object of which the named keys are read and all others are passed over.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident, $max:expr, { $($key:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name<'de> {
            $(pub $key: $type,)*
        }

        impl<'de> Object<'de> for $name<'de> {
            const MAX_IN_LIST: usize = $max;

            fn take<A: MapAccess<'de>>(&mut self, key: &str, values: &mut A) -> Result<(), A::Error> {
                match key {
                    $(stringify!($key) => self.$key = values.next_value::<As<$type>>()?.0,)*
                    _ => {
                        values.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(())
            }
        }
    };
}

object! {
    /// The whole file, in either format. `super_pod_list` and `server_group_list` belong to formats that are refused.
    Top, 0, {
        version: Scalar<'de>,
        status: Scalar<'de>,
        group_count: Scalar<'de>,
        group_list: List<Group<'de>>,
        server_count: Scalar<'de>,
        server_list: List<Server<'de>>,
        super_pod_list: Scalar<'de>,
        server_group_list: Scalar<'de>,
    }
}

object! {
    /// An entry of `group_list` (v0).
    Group, MAX_GROUPS, {
        device_count: Scalar<'de>,
        instance_count: Scalar<'de>,
        instance_list: List<InstanceV0<'de>>,
    }
}

object! {
    /// An entry of `instance_list` (v0).
    InstanceV0, MAX_INSTANCES, {
        pod_name: Scalar<'de>,
        server_id: Scalar<'de>,
        devices: List<DeviceV0<'de>>,
    }
}

object! {
    /// An entry of `devices` (v0).
    DeviceV0, MAX_DEVICES_PER_SERVER, {
        device_id: Scalar<'de>,
        device_ip: Scalar<'de>,
    }
}

object! {
    /// An entry of `server_list` (v1).
    Server, MAX_INSTANCES, {
        server_id: Scalar<'de>,
        device: List<DeviceV1<'de>>,
    }
}

object! {
    /// An entry of `device` (v1).
    DeviceV1, MAX_DEVICES_PER_SERVER, {
        device_id: Scalar<'de>,
        device_ip: Scalar<'de>,
        rank_id: Scalar<'de>,
    }
}
