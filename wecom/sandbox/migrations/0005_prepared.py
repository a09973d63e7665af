from django.db import migrations, models

# what a page of batch/get_by_user shows of a relation: the relation, its tags, its customer, and the corp's setting
DROP = "DELETE FROM sandbox_prepared WHERE follow"
OF_CUSTOMER = "(SELECT id FROM sandbox_follow WHERE corpid = old.corpid AND external_userid = old.external_userid)"
OF_CORP = "(SELECT id FROM sandbox_follow WHERE corpid = old.corpid)"
TRIGGERS = {
    "prepared_follow_changed": f"AFTER UPDATE ON sandbox_follow BEGIN {DROP} = old.id; END",
    "prepared_follow_gone": f"AFTER DELETE ON sandbox_follow BEGIN {DROP} = old.id; END",
    "prepared_tag_put": f"AFTER INSERT ON sandbox_followtag BEGIN {DROP} = new.follow; END",
    "prepared_tag_gone": f"AFTER DELETE ON sandbox_followtag BEGIN {DROP} = old.follow; END",
    "prepared_customer_changed": f"AFTER UPDATE ON sandbox_customer BEGIN {DROP} IN {OF_CUSTOMER}; END",
    "prepared_corp_changed": f"AFTER UPDATE ON sandbox_corp BEGIN {DROP} IN {OF_CORP}; END",
}


class Migration(migrations.Migration):

    dependencies = [
        ('sandbox', '0004_life_purchases_faults'),
    ]

    operations = [
        migrations.CreateModel(
            name='Prepared',
            fields=[
                ('follow', models.BigIntegerField(primary_key=True, serialize=False)),
                ('body', models.TextField()),
            ],
        ),
        *(migrations.RunSQL(f"CREATE TRIGGER {name} {what}", f"DROP TRIGGER {name}") for name, what in TRIGGERS.items()),
    ]
